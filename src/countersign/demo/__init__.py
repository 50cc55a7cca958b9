"""The demo: a small estate, three days of noise, two intrusions and one phishing wave, all written by this project.

Never quoted as a measurement: it shows what the product does, not how well.
"""
