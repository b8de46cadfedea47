"""The forger.

python3 forge secrets DC_FOLDER   prints the secrets of the domain controller's trusts
python3 forge run                 reads the scene (JSON) from standard input, plays every case, prints rows (JSON)
"""

import sys

if sys.argv[1] == "secrets":
    import theft

    theft.trust_secrets(sys.argv[2])
else:
    import runner

    runner.main()
