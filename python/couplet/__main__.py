"""`python -m couplet` is the `couplet` command."""

import sys

from couplet._command import main

sys.exit(main())
