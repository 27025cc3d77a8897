import AMQP
import OsloMessaging
import Testing

@Suite struct TransportURLTests {
    @Test func readsSeveralHosts() throws {
        let url = try TransportURL(parsing: "rabbit://u%40x:p%2F%3A@host1:5673,v:w@[::1]:5674,host3/v%2Fh")
        #expect(url.hosts.map(\.name) == ["host1", "::1", "host3"])
        #expect(url.hosts.map(\.port) == [5673, 5674, 5672])
        #expect(url.hosts[0].username == "u@x")
        #expect(url.hosts[0].password == "p/:")
        #expect(url.hosts[2].username == "v" && url.hosts[2].password == "w")
        #expect(url.virtualHost == "v/h")
        #expect(url.tls == nil)
    }

    @Test(arguments: ["rabbit://h", "rabbit://h/", "rabbit://h//", "rabbit://h/?x=1"])
    func aMissingVirtualHostIsTheRoot(_ text: String) throws {
        #expect(try TransportURL(parsing: text).virtualHost == "/")
    }

    @Test func tlsByQueryAndByScheme() throws {
        let url = try TransportURL(parsing: "rabbit://h/?ssl=1&ssl_ca_file=%2Fca.pem&ssl_cert_file=/c&ssl_key_file=/k")
        #expect(url.tls == AMQPTLS(caFile: "/ca.pem", certFile: "/c", keyFile: "/k"))
        #expect(url.hosts[0].port == 5672)
        let secure = try TransportURL(parsing: "rabbits://h/")
        #expect(secure.tls != nil)
        #expect(secure.hosts[0].port == 5671)
        #expect(try TransportURL(parsing: "rabbit://h/?ssl=false").tls == nil)
    }

    @Test(arguments: [
        "", "h:5672", "http://u:hunter2@h/", "rabbit://u:hunter2@h:x/", "rabbit://u:hunter2@/", "rabbit://u:hunter2@[::1/",
        "rabbit://u:hunter2%@h/", "rabbit://u:hunter2@h:70000/", "rabbit://u:hunter2@h/?ssl=maybe", "rabbit://u:hunter2/x@h/",
        "rabbit://u:hunter2@h/?ssl=1&ssl_cert_file=/c", "rabbit://u:a@hunter2/b@h/",
    ])
    func faultsNeverShowThePassword(_ text: String) {
        let error = #expect(throws: TransportURL.ParseError.self) { try TransportURL(parsing: text) }
        #expect(error.map { "\($0)".contains("hunter2") } == false)
    }

    @Test func printsWithoutPassword() throws {
        let url = try TransportURL(parsing: "rabbit://u:hunter2@h,v:hunter2@[::1]/x")
        #expect("\(url)" == "rabbit://u:***@h:5672,v:***@[::1]:5672/x")
        var dumped = String(reflecting: url)
        dump(url, to: &dumped)
        dump(url.hosts, to: &dumped)
        #expect(!dumped.contains("hunter2"))
    }

    @Test func eachHostHasItsOwnUserOrTheOneBefore() throws {
        let url = try TransportURL(parsing: "rabbit://u:p@h1,h2,v:q@h3,h4")
        #expect(url.hosts.map(\.username) == ["u", "u", "v", "v"])
        #expect(try TransportURL(parsing: "rabbit://h1,u:p@h2").hosts.map(\.username) == ["guest", "u"])
        let endpoints = try url.amqpConfiguration(connectionName: "").endpoints
        for host in url.hosts {
            let endpoint = endpoints.first { $0.host == host.name }
            #expect(endpoint?.credentials == AMQPCredentials(username: host.username, password: host.password))
        }
        var dumped = ""
        dump(endpoints, to: &dumped)
        #expect(!dumped.contains("\"p\"") && !dumped.contains("\"q\""))
    }

    @Test func theClientsOfAClusterSpreadOverIt() throws {
        let url = try TransportURL(parsing: "rabbit://h1,h2,h3")
        var first: Set<String> = []
        for _ in 0..<200 {
            let hosts = try url.amqpConfiguration(connectionName: "").endpoints.map(\.host)
            #expect(Set(hosts) == ["h1", "h2", "h3"])
            first.insert(hosts[0])
        }
        #expect(first == ["h1", "h2", "h3"])
    }

    @Test func optionsOfTheDriverCanStandInTheQuery() throws {
        let url = try TransportURL(parsing: "rabbit://h/?rabbit_quorum_queue=true&rabbit_quorum_delivery_limit=3")
        var options = OsloRabbitOptions()
        try options.apply(url.query)
        #expect(options.quorumQueue)
        #expect(options.quorumDeliveryLimit == 3)
        #expect(throws: OsloRabbitOptions.OptionsError.self) { try options.apply(["rabbit_transient_queues_ttl": "x"]) }
    }
}
