// gokrb5, a Kerberos of Go's own, on both sides of a web page.
//
//	gokrb5 get CONFIG CCACHE URL      opens the page with a ticket, prints its body
//	gokrb5 serve KEYTAB ADDRESS       serves pages with what the ticket says: `USER@REALM` and the PAC's SIDs
//
// It checks the PAC's server signature with the keytab's key, as Samba does.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/jcmturner/goidentity/v6"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/service"
	"github.com/jcmturner/gokrb5/v8/spnego"
)

// The page is a line or two.
const maxPageBytes = 1 << 20

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 5 && os.Args[1] == "get":
		get(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 4 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3])
	default:
		log.Fatal("usage: gokrb5 get CONFIG CCACHE URL | gokrb5 serve KEYTAB ADDRESS")
	}
}

func get(configPath, cachePath, url string) {
	settings, err := config.Load(configPath)
	must(err)
	cache, err := credentials.LoadCCache(cachePath)
	must(err)
	// AD does not know FAST for TGS requests of this client.
	user, err := client.NewFromCCache(cache, settings, client.DisablePAFXFAST(true))
	must(err)
	request, err := http.NewRequest("GET", url, nil)
	must(err)
	// Without a name the service is HTTP on the URL's host.
	response, err := spnego.NewClient(user, nil, "").Do(request)
	must(err)
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, maxPageBytes))
	must(err)
	fmt.Println(response.Status)
	fmt.Printf("%s", page)
}

func serve(keytabPath, address string) {
	keys, err := keytab.Load(keytabPath)
	must(err)
	page := http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		user := goidentity.FromHTTPRequestContext(request)
		fmt.Fprintf(out, "%s@%s\n", user.UserName(), user.Domain())
		pac, known := user.Attributes()[credentials.AttributeKeyADCredentials].(credentials.ADCredentials)
		if known {
			fmt.Fprintf(out, "logon domain %s\n", pac.LogonDomainID)
			for _, sid := range pac.GroupMembershipSIDs {
				fmt.Fprintf(out, "group %s\n", sid)
			}
		}
	})
	logger := log.New(os.Stderr, "", 0)
	log.Printf("gokrb5 serves %s", address)
	must(http.ListenAndServe(address, spnego.SPNEGOKRB5Authenticate(page, keys, service.Logger(logger), service.DecodePAC(true))))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
