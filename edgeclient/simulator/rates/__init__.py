"""Rate limits as the provider has them, and the record of how near a client came to them.

`window` counts, `verdict` decides, `judge` remembers; `model_limits` is how limits are written, `provider_table` what
the provider publishes and `quotas` how it tells a client.
"""
