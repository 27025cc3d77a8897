internal import CRabbitMQ
internal import Glibc

/// An eventfd that makes the IO thread's poll return.
///
/// If no descriptor is left (`EMFILE`) it is -1, which poll ignores; the connection then refuses to run.
struct WakeDescriptor: ~Copyable, Sendable {
    let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))

    deinit { _ = Glibc.close(descriptor) }

    func signal() { _ = eventfd_write(descriptor, 1) }

    func drain() {
        var count: eventfd_t = 0
        _ = unsafe eventfd_read(descriptor, &count)
    }
}
