{
  "targets": [
    {
      "target_name": "strake",
      "conditions": [
        ["OS=='linux'", {
          "sources": ["native/addon.c", "native/descriptors.c", "native/watch.c", "native/ring.c", "native/decoder.c", "native/sync.c", "native/xattrs.c", "native/directory.c", "native/ops.c", "native/ops-process.c", "native/ops-mount.c", "native/ops-rights.c", "native/ops-descriptor.c", "native/ops-file.c", "native/fields.c", "native/files.c", "native/put.c", "native/message.c", "native/reap.c", "native/sys.c", "native/flags.c"],
          "cflags": ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
          "defines": ["NAPI_VERSION=8"]
        }, { "type": "none" }]
      ]
    },
    {
      "target_name": "strake-init",
      "conditions": [
        ["OS=='linux'", {
          "type": "executable",
          "sources": ["native/init.c", "native/serve.c", "native/children.c", "native/private-users.c", "native/spares.c", "native/reap.c", "native/ops.c", "native/ops-process.c", "native/ops-mount.c", "native/ops-rights.c", "native/ops-descriptor.c", "native/ops-file.c", "native/fields.c", "native/files.c", "native/put.c", "native/message.c", "native/sys.c"],
          "cflags": ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-stack-protector", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-fno-pie", "-fno-asynchronous-unwind-tables"],
          "cflags!": ["-fPIC", "-pthread", "-rdynamic"],
          "ldflags": ["-static", "-nostdlib", "-no-pie", "-Wl,-z,noseparate-code", "-Wl,--build-id=none"],
          "ldflags!": ["-pthread", "-rdynamic"]
        }, { "type": "none" }]
      ]
    }
  ]
}
