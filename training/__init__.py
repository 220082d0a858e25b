"""How the embedded models were made: drawn, trained and measured from nothing, by one command."""

import distillery  # noqa: F401  # before torch: it says how waiting threads wait
