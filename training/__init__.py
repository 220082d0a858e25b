"""How the embedded models were made: drawn, trained and measured from nothing, by one command."""
