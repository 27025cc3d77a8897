/// What `/metrics` says about each metric, and the histograms' bounds.
enum MetricHelp {
    /// Seconds, for what may take days.
    private static let long: [Double] = [
        0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000,
        500_000, 1_000_000,
    ]

    /// Histogram bounds by metric, where the usual ones do not suit.
    static let bounds = ["pivotd_swap_duration_seconds": long, "pivotd_copy_duration_seconds": long]

    /// HELP lines by metric.
    static let texts = [
        "pivotd_build_info": "The running version and its kind of hypervisor; always 1.",
        "pivotd_ready": "1 while /readyz answers 200, else 0.",
        "pivotd_swaps_total": "Finished swaps, by result; those that failed or were aborted also by their reason_code.",
        "pivotd_swaps_running": "Swaps under way.",
        "pivotd_swaps_queued": "Swaps that wait for their instance, a free slot, or the end of a pause.",
        "pivotd_swaps_held": "Swaps in step that wait for pivot_swap.",
        "pivotd_swaps_running_oldest_age_seconds": "Seconds since the longest running swap began; 0 if none runs.",
        "pivotd_swaps_queued_oldest_age_seconds": "Seconds since the longest waiting swap was accepted; 0 if none waits.",
        "pivotd_swaps_running_limit": "Most swaps that may run at once: max_concurrent_swaps.",
        "pivotd_queue_paused": "1 while pause_queue or drain keeps new swaps from starting, else 0.",
        "pivotd_queue_paused_by_schedule": "1 while the schedule keeps new swaps from starting, else 0.",
        "pivotd_bandwidth_limit_bytes_per_second": "Limit of all copies together that holds now; 0 for none.",
        "pivotd_rollbacks_pending": "Swaps answered as failed whose copy could not be ended yet.",
        "pivotd_hung_domains": "Domains whose libvirt calls do not return; /readyz and the log name them.",
        "pivotd_accept_seconds": "Seconds from a swap's arrival until its task is on disk and its message acknowledged.",
        "pivotd_swap_duration_seconds": "Seconds from the start of a swap to its outcome.",
        "pivotd_swap_overhead_seconds": "Seconds of a successful swap without the copy itself.",
        "pivotd_copy_duration_seconds": "Seconds from the start of a successful swap's copy until both volumes were in sync.",
        "pivotd_ready_to_pivot_seconds": "Seconds from libvirt's READY event to the pivot call.",
        "pivotd_copied_bytes_total":
            "Bytes copied by all swaps, counted while they copy, by the new volume's driver and strategy.",
        "pivotd_copies_running": "Copies under way whose volumes are not in sync yet.",
        "pivotd_copy_standstill_seconds": "Longest time for which a running copy has not advanced; 0 if none runs.",
        "pivotd_convergences_total": "Copies that a busy guest outran, by what was done about them.",
        "pivotd_guest_latency_seconds":
            "Longest mean request time of a guest whose copy is steered by it (guest_latency_budget); 0 if there is none.",
        "pivotd_connection_up": "1 while the connection is up, else 0.",
        "pivotd_reconnects_total": "Times that a connection was made again.",
        "pivotd_messages_total": "Messages, by what happened to them.",
        "pivotd_replies_total": "Replies, by kind.",
        "pivotd_notifications_total": "Notifications, by what happened to them.",
        "pivotd_notification_problems_total":
            "Declarations for notifications that RabbitMQ refused; /readyz and the log say why.",
        "pivotd_journal_commit_seconds": "Seconds of a synced commit to the journal.",
        "pivotd_journal_wait_seconds": "Seconds for which the oldest change has waited for its commit; 0 if none waits.",
        "pivotd_journal_size_bytes": "Size of the journal and its write-ahead log.",
    ]
}
