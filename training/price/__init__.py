"""Can the next closes be forecast as tutorials do it, and what is that worth?"""
