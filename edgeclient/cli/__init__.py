"""The operator's door: one module per command, loaded only when it is used."""
