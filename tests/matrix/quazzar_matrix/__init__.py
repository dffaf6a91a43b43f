# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verifier: every identity with every pin at every replica, by OpenSSL's verifier and by Go's.

What must come of it is in truth.py, as data. Nothing here imports from plugins/ : the collection does not grade itself.
"""
