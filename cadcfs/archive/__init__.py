"""What the archive's services answer: records, questions and the protocols that carry them."""
