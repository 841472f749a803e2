"""Parses an exposition with the strict parser of the Python client library, and prints the number of samples."""

import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

content_type, path = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    page = file.read()
is_openmetrics = content_type.startswith("application/openmetrics-text")
read = openmetrics_parser if is_openmetrics else parser
families = list(read.text_string_to_metric_families(page))
names = [family.name for family in families]
if len(set(names)) < len(names):
    sys.exit("a family occurs twice")
print("client_python", sum(len(family.samples) for family in families))
