import { join } from 'node:path';
import type { Commands } from './commands.ts';
import type { CliOptions } from './options.ts';

/** Builds what is out of date, and has the CDK CLI synthesize the app. Returns the assembly's folder. */
export async function synthesize(options: CliOptions, commands: Commands, stateFolder: string): Promise<string> {
  if (options.assembly !== undefined) return options.assembly;
  console.error('building…');
  await commands.node('the build', 'scripts/build.ts', []);
  console.error('synthesizing…');
  // A folder for each port: runs beside each other don't share one.
  const output = join(stateFolder, 'cdk.out', String(options.port));
  const args = ['synth', '--quiet', '--output', output, '--no-notices', '--no-version-reporting'];
  if (options.app !== undefined) args.push('--app', options.app);
  for (const pair of options.context) args.push('--context', pair);
  await commands.node('cdk synth', 'node_modules/aws-cdk/bin/cdk', args, { CDK_DISABLE_CLI_TELEMETRY: 'true' });
  return output;
}
