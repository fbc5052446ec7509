import { Argument } from 'commander';
import { encodeName } from '../protocol/name';

/** The argument that names a primitive: any text that the library takes as a name. */
export function nameArgument(description: string): Argument {
  return new Argument('<name>', description).argParser((name: string) => {
    encodeName(name);
    return name;
  });
}
