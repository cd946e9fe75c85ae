"""What an operator does by name: several writes in one transaction each, under the source's lock."""
