"""The language of the house: what every other room may say, and nothing that does anything."""
