"""How the embedded models were made: data drawn, models trained and measured, by one command."""

import distillery  # noqa: F401  # before torch: it says how waiting threads wait
