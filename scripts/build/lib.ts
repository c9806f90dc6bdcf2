import { run } from '../run.ts';

/** jsii compiles `lib/*.ts` beside its sources and writes `.jsii`. Its own tsconfig goes to a file of its own. */
export async function buildLib(): Promise<void> {
  await run('jsii', [
    '--silence-warnings=reserved-word',
    '--fail-on-warnings',
    '--generate-tsconfig',
    'tsconfig.jsii.json',
  ]);
}
