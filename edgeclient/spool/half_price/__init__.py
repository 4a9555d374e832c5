"""Work that can wait: what is stored about batches at the provider, and who plans, orders and collects them."""
