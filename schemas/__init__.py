"""What the words mean: pydantic models and Arrow schemas. Imports nothing of ours."""
