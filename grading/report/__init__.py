"""How a class did, as a page, a table, or the files of Gradescope and PrairieLearn."""
