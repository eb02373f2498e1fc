"""The demo's input: real map imagery cut into tiles, described in words, with a known number of planted defects."""
