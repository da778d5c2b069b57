// Preloaded into every emulator that runs in node: whatever it asks for, it listens on the loopback address only.
'use strict'

const net = require('net')

const host = '127.0.0.1'
const listen = net.Server.prototype.listen

net.Server.prototype.listen = function (...args) {
  if (args[0] !== null && typeof args[0] === 'object') {
    const [options, ...rest] = args
    return listen.call(this, { ...options, host }, ...rest)
  }
  const callback = args.find((arg) => typeof arg === 'function')
  return listen.call(this, { port: Number(args[0]) || 0, host }, callback)
}
