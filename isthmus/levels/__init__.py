"""What is done with the words: replicate, synchronize, process."""
