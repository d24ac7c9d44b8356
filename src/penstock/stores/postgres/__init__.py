"""The store on one PostgreSQL schema."""
