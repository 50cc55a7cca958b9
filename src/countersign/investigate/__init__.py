"""Investigation: a summary in which every sentence cites what it rests on, and the plan of lookups a case needs.

Reads records and returns text. It may import neither ``actions`` nor ``store``: an agent proposes, it never acts.
"""
