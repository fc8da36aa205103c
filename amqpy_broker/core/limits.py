"""Everything a client can make grow has a limit here, with the source of the number."""

from typing import Final

# --- negotiated with each connection (RabbitMQ's defaults) -----------------------------------------------------------
CHANNEL_MAX: Final = 2047
FRAME_SIZE_MAX: Final = 131_072
HEARTBEAT_S: Final = 60

# --- time a peer may take ---------------------------------------------------------------------------------------------
# RabbitMQ's `handshake_timeout`.
HANDSHAKE_TIMEOUT_S: Final = 10.0
# RabbitMQ's ?SILENT_CLOSE_DELAY: slows down whoever guesses passwords.
SILENT_CLOSE_DELAY_S: Final = 3.0
# RabbitMQ's ?CLOSING_TIMEOUT: how long a peer may take to answer our connection.close.
CLOSING_TIMEOUT_S: Final = 30.0
# How long we wait for a peer to close the socket once everything is said.
LINGER_TIMEOUT_S: Final = 5.0

# RabbitMQ's `consumer_timeout`: half an hour.
CONSUMER_TIMEOUT_MS: Final = 1_800_000

# --- memory -----------------------------------------------------------------------------------------------------------
# Bytes waiting to be sent to one connection: above this it takes no more deliveries (the queue keeps them) and is not
# read from, until they are sent. 1 MiB is some 5 ms of a fast loopback and keeps a socket busy.
OUTPUT_HIGH_WATERMARK_BYTES: Final = 1_048_576
# What one connection may hold in contents that are not complete yet, over all its channels: one message of the largest
# size and room for the others. RabbitMQ has no such limit.
UNFINISHED_CONTENT_MAX_BYTES: Final = 256 * 1_048_576
# What Python adds to a frame that waits for the rest of its content: a body in frames of one octet is mostly this.
FRAME_OVERHEAD_BYTES: Final = 48
# The broker counts messages in memory against a watermark; this is RabbitMQ's default share of the machine's memory.
MEMORY_WATERMARK_SHARE: Final = 0.6
# What leaves memory at once when it is short: twice what comes in until it is asked for again, some 10 ms of work.
PAGE_OUT_MAX_BYTES: Final = 8 * 1_048_576
# Publishers go on when use has fallen below this share of the watermark, so that the alarm does not flutter.
MEMORY_RELEASE_SHARE: Final = 0.95
# Overhead of one message waiting in memory, measured (docs/internals/performance.md).
MESSAGE_OVERHEAD_BYTES: Final = 400
# What a queue whose rest may be on disk holds in memory, some 8,000 small messages: enough to keep any consumer busy
# while more is read. It looks what it can let go of each time it has grown by a step, and keeps the first messages.
QUEUE_WINDOW_BYTES: Final = 4_194_304
QUEUE_WINDOW_STEP_BYTES: Final = 1_048_576
# The same with consumers, which will take it soon: what eight publishers with 2,000 unconfirmed messages each have in
# flight would be written, read back and forgotten.
QUEUE_CONSUMED_BYTES: Final = 128 * 1_048_576
QUEUE_HEAD_BYTES: Final = 2_097_152
# What is left of the head when memory is short.
QUEUE_HEAD_MIN_BYTES: Final = 262_144
# What a queue with message groups looks at and keeps in memory, where it finds nothing for a consumer that is free:
# some 15,000 small messages. All of it may be read within one step of the broker, once: up to 0.14 s, measured. So it
# is not the 120,000 messages that Amazon's SQS looks at.
QUEUE_AHEAD_BYTES: Final = 8 * 1_048_576
# Memory of messages that one queue takes and the journal has not synced, before its publishers wait: some 15,000 small
# ones. Half of it is written while the other half comes in; with less, large messages wait for the disk more often than
# it is worth (2 MiB: a fifth fewer of 16 KiB). RabbitMQ's credit is 400 messages of each publisher.
QUEUE_UNSYNCED_MAX_BYTES: Final = 8_388_608
# Messages, and octets of bodies, that are read back at once: a millisecond or two.
PAGE_READ_MESSAGES: Final = 512
PAGE_READ_BYTES: Final = 4_194_304
# Messages are paged out from this share of the memory watermark on, so that the alarm is the last resort.
PAGING_SHARE: Final = 0.5
# Bytes that a broker reads before it looks at its memory again.
MEMORY_CHECK_INTERVAL_BYTES: Final = 4_194_304

# --- disk -------------------------------------------------------------------------------------------------------------
# RabbitMQ's `disk_free_limit`.
DISK_FREE_LIMIT_BYTES: Final = 50_000_000
# Publishers go on when there is this much more than the limit, so that the alarm does not flutter.
DISK_RELEASE_SHARE: Final = 1.05
# How often it is looked: RabbitMQ's numbers, and what it takes for the fastest disk (?FAST_RATE).
DISK_CHECK_INTERVAL_MIN_S: Final = 0.1
DISK_CHECK_INTERVAL_MAX_S: Final = 10.0
DISK_FILL_RATE_BYTES_S: Final = 250_000_000

# --- counts -----------------------------------------------------------------------------------------------------------
# Memoised publishes and content headers of one connection: hundreds of routing keys fit, and 1024 entries of some
# 300 bytes stay below 0.5 MB.
PUBLISH_MEMO_MAX: Final = 1024
HEADER_MEMO_MAX: Final = 256
# A memo's key is kept alive by it: longer payloads are decoded every time.
MEMO_KEY_MAX_BYTES: Final = 512
# Consumers of one channel: RabbitMQ's consumer_max_per_channel is infinite; nobody has shown a use for more.
CONSUMERS_PER_CHANNEL_MAX: Final = 65_535
# Publishes and acknowledgements of one transaction are kept until its commit.
TX_OPERATIONS_MAX: Final = 1_000_000
# Connections the broker accepts at once. The operating system's limit on open files usually comes first.
CONNECTIONS_MAX: Final = 65_536
# RabbitMQ has no such limits unless one is set. Some 3 KB each, and 1 KB a binding: a vhost that is full of them fits
# into the memory of a small machine.
QUEUES_PER_VHOST_MAX: Final = 262_144
EXCHANGES_PER_VHOST_MAX: Final = 65_536
BINDINGS_PER_VHOST_MAX: Final = 1_048_576
# Message groups without messages whose consumers a queue remembers.
MESSAGE_GROUPS_MAX: Final = 65_536
# Keys that a queue remembers to tell duplicates: some 150 MB. LavinMQ takes any number.
DEDUPLICATION_CACHE_MAX: Final = 1_000_000
# Dead letters that die again are published in rounds of so many, some 20 ms of work; then others have their turn.
DEATHS_AT_ONCE_MAX: Final = 1000
DEATHS_PAUSE_S: Final = 0.001
# Hops of exchange-to-exchange routing are bounded by visiting each exchange once; no number is needed.

# --- texts ------------------------------------------------------------------------------------------------------------
SHORT_STRING_MAX_BYTES: Final = 255
