"""The way out to the provider: the only room that knows its JSON, its errors and the HTTP client."""
