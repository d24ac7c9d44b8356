"""The walls of the house: each rule takes the root of a checkout and returns what breaks it, one line each."""
