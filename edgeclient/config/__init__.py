"""The configuration: its schema, where values come from, and what people see of it."""
