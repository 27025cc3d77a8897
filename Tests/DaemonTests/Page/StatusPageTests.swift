import Foundation
import Observability
import Testing
import VolumeSwap

@testable import Daemon

@Suite struct StatusPageTests {
    private static let now = Date(timeIntervalSince1970: 1_700_000_100)

    private static func swap(_ state: String, instance: String = "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099") -> SwapGlance {
        SwapGlance(id: TaskID("task-1"), instance: instance, disk: "vdb", state: state, acceptedAt: now - 100)
    }

    private static func html(_ overview: ServiceOverview?, checks: [HealthCheck] = [HealthCheck("bus", ok: true)]) -> String {
        StatusPage(host: "compute1", checks: checks, overview: overview, now: now).html
    }

    @Test func whatComesFromOutsideIsEscaped() {
        var swap = Self.swap("failed", instance: "<script>alert('x')</script>")
        swap.disk = "\"><img src=x>"
        swap.oldVolumeID = "a&b"
        swap.newVolumeID = "</p>\u{202E}\u{1B}"
        swap.failure = "QEMU said: <b>\"no\"</b>"
        swap.finishedAt = Self.now
        var overview = ServiceOverview()
        overview.recent = [swap]
        let html = Self.html(overview, checks: [HealthCheck("bus", ok: false, detail: "<script>1</script>")])
        #expect(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>"))
        #expect(!html.contains("\u{202E}") && !html.contains("\u{1B}"))
        #expect(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"))
        #expect(html.contains("&quot;&gt;&lt;img src=x&gt;"))
        #expect(html.contains("a&amp;b → &lt;/p&gt;\u{FFFD}\u{FFFD}"))
        #expect(html.contains("bus: &lt;script&gt;1&lt;/script&gt;"))
    }

    @Test func longTextsAreCut() {
        var overview = ServiceOverview()
        overview.underWay = [Self.swap("copying", instance: String(repeating: "x", count: 1_000_000))]
        #expect(Self.html(overview).utf8.count < 10_000)
    }

    @Test func readinessAndItsReasonsShow() {
        let ready = Self.html(ServiceOverview())
        #expect(ready.contains(">ready</span>") && !ready.contains("not ready") && !ready.contains(">paused<"))
        var overview = ServiceOverview()
        overview.isPaused = true
        let html = Self.html(
            overview,
            checks: [HealthCheck("bus", ok: false, detail: "no broker"), HealthCheck("libvirt", ok: true, detail: "dry-run")])
        #expect(html.contains(">not ready</span>") && html.contains(">paused</span>"))
        #expect(html.contains("<li class=\"trouble\">bus: no broker</li><li class=\"note\">libvirt: dry-run</li>"))
        #expect(Self.html(nil, checks: [HealthCheck("start", ok: false, detail: "starting")]).contains("start: starting"))
    }

    @Test func aRunningCopyHasABarAndItsLimit() {
        var swap = Self.swap("copying")
        (swap.progress.copiedBytes, swap.progress.totalBytes) = (1 << 30, 4 << 30)
        (swap.progress.rate, swap.progress.limit) = (Double(100 << 20), 200 << 20)
        var overview = ServiceOverview()
        (overview.underWay, overview.running, overview.runningLimit, overview.bandwidth) = ([swap], 1, 8, 500 << 20)
        let html = Self.html(overview)
        #expect(html.contains("<progress max=\"100\" value=\"25\""))
        #expect(html.contains("25 % · 1.0 GiB of 4.0 GiB · 100 MiB/s · limit 200 MiB/s · 31s left · accepted 1m40s ago"))
        #expect(html.contains("1 of at most 8 running · 0 waiting · all copies at most 500 MiB/s"))
    }

    @Test func waitingSwapsSayForWhatAndHowManyMoreThereAre() {
        var swap = Self.swap("queued")
        swap.waitsFor = "limit: source where=filer1:*"
        var overview = ServiceOverview()
        (overview.waiting, overview.queued) = ([swap], 30)
        let html = Self.html(overview)
        #expect(html.contains("waits for limit: source where=filer1:*") && html.contains("and 29 more"))
        #expect(!Self.html(ServiceOverview()).contains("Waiting"), "no empty list")
    }

    @Test func anEndedSwapSaysWhichVolumeTheGuestRunsOn() {
        var swap = Self.swap("failed")
        (swap.failure, swap.inUse, swap.startedAt, swap.finishedAt) = ("no space", .old, Self.now - 90, Self.now - 30)
        var overview = ServiceOverview()
        overview.recent = [swap]
        let html = Self.html(overview)
        #expect(html.contains("no space (the guest runs on the old volume)"))
        #expect(html.contains("took 1m00s, 30s ago") && !html.contains("<progress"))
    }

    @Test func itIsOneFileWithoutAScript() {
        let html = Self.html(ServiceOverview())
        #expect(html.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">"))
        for asset in ["src=", "url(", "@import", "<link", "http:", "https:", "style="] { #expect(!html.contains(asset)) }
        #expect(html.contains("<meta http-equiv=\"refresh\" content=\"5\">"))
        for link in ["/metrics", "/readyz", "/livez"] { #expect(html.contains("<a href=\"\(link)\">")) }
        #expect(StatusPage.policy.hasPrefix("default-src 'none'; style-src 'sha256-") && !StatusPage.policy.contains("unsafe"))
        #expect(!StatusPageStyle.rules.contains("<"))
    }
}
