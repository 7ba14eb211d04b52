// SPDX-License-Identifier: GPL-2.0-or-later
// pack.js ARCHIVE NAME...: what npm packs with, node-tar, makes of the files in this folder.
const { execFileSync } = require("child_process");
const modules = execFileSync("npm", ["root", "-g"], { encoding: "utf8" }).trim();
const tar = require(modules + "/npm/node_modules/tar");
const [archive, ...names] = process.argv.slice(2);
tar.c({ file: archive, sync: true, portable: false }, names);
