"""Providers, models and prices as dated rows. `table` reads them; the rows stand in the two TOML files beside it."""
