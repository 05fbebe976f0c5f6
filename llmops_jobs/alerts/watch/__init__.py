"""Trouble of the last minutes, told while it lasts.

The night decides over whole days; the watch looks every few minutes at today's rows for what should
wake somebody: errors, slowness and spend far beyond the usual. It opens the same incidents in the
same tables, so that the night finds them there, confirms them or ends them.

Belongs here: reading today's rows, rules over minutes, and the part of an incident's life before
its first night. Does not: anything about whole days.
"""
