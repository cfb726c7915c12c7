"""What the tests with a real server share."""
# SPDX-License-Identifier: Apache-2.0
