"""Connections that fall silent: they look alive, and nothing comes."""
