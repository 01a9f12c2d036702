"""A small warehouse that engine tests play in: two systems, a dimension with a history, two cubes."""
