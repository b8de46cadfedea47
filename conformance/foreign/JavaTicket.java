import org.ietf.jgss.GSSContext;
import org.ietf.jgss.GSSManager;
import org.ietf.jgss.GSSName;
import org.ietf.jgss.Oid;

/** Java's own Kerberos starts a context with a service of another realm: JavaTicket SERVICE@HOST, tickets from KRB5CCNAME. */
final class JavaTicket {
    public static void main(String[] arguments) throws Exception {
        Oid kerberos = new Oid("1.2.840.113554.1.2.2");
        GSSManager manager = GSSManager.getInstance();
        GSSName service = manager.createName(arguments[0], GSSName.NT_HOSTBASED_SERVICE);
        GSSContext context = manager.createContext(service, kerberos, null, GSSContext.DEFAULT_LIFETIME);
        context.requestMutualAuth(true);
        byte[] token = context.initSecContext(new byte[0], 0, 0);
        System.out.println(context.getSrcName() + " has a token of " + token.length + " bytes for " + service);
    }
}
