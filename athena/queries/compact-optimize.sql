-- Rewrites the files of one day of trips_compact into large ones; the rows stay the same. Then VACUUM trips_compact removes the small
-- files once the table's retention is over, five days by default.
OPTIMIZE trips_compact REWRITE DATA USING BIN_PACK WHERE day = DATE '2026-01-31'
