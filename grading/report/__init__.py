"""How a class did, as a page, a table or Gradescope's files."""
