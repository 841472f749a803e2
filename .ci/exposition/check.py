"""Parses expositions with the strict parsers of the Python client library.

The arguments are content types and files, alternately. Prints the number of samples in each file.
"""

import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

for content_type, path in zip(sys.argv[1::2], sys.argv[2::2]):
    with open(path, encoding="utf-8") as file:
        page = file.read()
    is_openmetrics = content_type.startswith("application/openmetrics-text")
    read = openmetrics_parser if is_openmetrics else parser
    try:
        families = list(read.text_string_to_metric_families(page))
    except ValueError as error:
        sys.exit(f"{path} ({content_type}): {error}")
    names = [family.name for family in families]
    if len(set(names)) < len(names):
        sys.exit(f"{path} ({content_type}): a family occurs twice")
    print("client_python", path, sum(len(family.samples) for family in families))
