/**
 * Runs in a function's process before AWS's runtime client (`node --import`), in its worker threads too.
 * Plain JavaScript: stripping types would cost every cold start time and memory that the function doesn't use on AWS.
 */
import { registerHooks } from 'node:module';
import { Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';

// The client's native add-on is built by an install script, and none is run here: a module with the same three
// functions stands in for it.
registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier !== './rapid-client.node') return nextResolve(specifier, context);
    return { url: new URL('rapid-client.mjs', import.meta.url).href, format: 'module', shortCircuit: true };
  },
});

// File descriptor 3 is a pipe whose other end is held by the local run: it closes when that process is gone, however
// it went, and then nobody needs this one.
if (isMainThread) {
  const lifeline = new Socket({ fd: 3, readable: true, writable: false });
  const leave = () => process.exit(0);
  lifeline.on('end', leave).on('close', leave).on('error', leave).resume();
  lifeline.unref();
}
