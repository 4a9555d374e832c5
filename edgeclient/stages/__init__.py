"""What happens to one call: a row of stages, each of which decides one thing and knows neither gRPC nor HTTP."""
