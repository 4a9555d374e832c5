"""The provider's half-price interfaces."""
