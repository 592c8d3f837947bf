"""Several machines: each keeps everything and also sends to a centre; the centre keeps what all of them send."""
