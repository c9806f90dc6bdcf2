/** Rebuilds the step whose inputs change. Ctrl-C ends it. */
import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const DEBOUNCE_MS = 200;

let building = false;
let again = false;

function build(): void {
  if (building) {
    again = true;
    return;
  }
  building = true;
  const child = spawn(process.execPath, ['scripts/build.ts'], { cwd: ROOT, stdio: 'inherit' });
  child.once('exit', () => {
    building = false;
    if (again) {
      again = false;
      build();
    }
  });
}

let timer: NodeJS.Timeout | undefined;
for (const folder of ['lib', 'lambda']) {
  watch(join(ROOT, folder), { recursive: true }, (_event, file) => {
    // The build's own output.
    if (file === null || /(\.js|\.d\.ts|generated.*)$/.test(file)) return;
    clearTimeout(timer);
    timer = setTimeout(build, DEBOUNCE_MS);
  });
}
build();
console.error('watching lib/ and lambda/');
