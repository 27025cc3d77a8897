import Testing

@testable import VolumeSwap

@Suite("XML as plain values")
struct XMLTreeTests {
    @Test("Elements, attributes and text are read, in pieces or not")
    func reading() throws {
        let root = try XMLTree(
            parsing:
                "<?xml version='1.0'?><!-- c --><a x='1' q:y='&lt;2&gt;'>one &amp; <b/><![CDATA[<two>]]><q:c>größe</q:c><b z=''/></a>"
        )
        #expect(root.name == "a")
        #expect(root.attributes == ["x": "1", "q:y": "<2>"])
        #expect(root.text == "one & <two>")
        #expect(root.children.map(\.name) == ["b", "q:c", "b"])
        #expect(root.all("b").map(\.attributes) == [[:], ["z": ""]])
        #expect(root.first("q:c")?.text == "größe")
        #expect(root.first("c") == nil && root.value("z") == nil)
    }

    @Test(
        "Malformed XML is a failure",
        arguments: ["", " ", "x", "<a", "<a></b>", "<a>&nothing;</a>", "<a b/>"])
    func broken(text: String) {
        #expect(Fixture.failure { _ = try XMLTree(parsing: text) }?.kind == .volumeRebaseFailed)
    }

    @Test("A written tree reads back unchanged", arguments: DomainXMLTests.hostile + ["", "a\nb\tc\rd"])
    func writing(text: String) throws {
        let tree = XMLTree("a", ["x": text, "b": "2"], [XMLTree("c", text: text), XMLTree("d", [:], [XMLTree("e")])])
        #expect(try XMLTree(parsing: tree.xml) == tree)
    }

    @Test("A large document is read whole")
    func large() throws {
        let disks = (0..<500).map {
            XMLTree("disk", ["n": String($0)], [XMLTree("serial", text: String(repeating: "s", count: 300))])
        }
        let tree = XMLTree("domain", [:], disks)
        #expect(try XMLTree(parsing: tree.xml) == tree)
    }
}
