"""Classical image analysis of a chest: nothing here is learned."""
