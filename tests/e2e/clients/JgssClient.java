/* A SASL client over Java's own Kerberos (JGSS): says each message in base64, a line each, and reads the challenges the
 * same way.
 *
 *   java JgssClient.java CACHE PRINCIPAL SERVICE HOST MUTUAL AUTHZID      with -Djava.security.krb5.conf=..
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.security.PrivilegedExceptionAction;
import java.util.Base64;
import java.util.Map;
import javax.security.auth.Subject;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.Configuration;
import javax.security.auth.login.LoginContext;
import javax.security.sasl.Sasl;
import javax.security.sasl.SaslClient;

public class JgssClient {
    static void say(byte[] message) {
        System.out.println(message == null ? "" : Base64.getEncoder().encodeToString(message));
        System.out.flush();
    }

    static Subject logIn(String cache, String principal) throws Exception {
        Configuration configuration = new Configuration() {
            @Override
            public AppConfigurationEntry[] getAppConfigurationEntry(String name) {
                return new AppConfigurationEntry[] {new AppConfigurationEntry(
                    "com.sun.security.auth.module.Krb5LoginModule",
                    AppConfigurationEntry.LoginModuleControlFlag.REQUIRED,
                    Map.of("useTicketCache", "true", "doNotPrompt", "true", "ticketCache", cache, "principal", principal))};
            }
        };
        LoginContext login = new LoginContext("client", null, null, configuration);
        login.login();
        return login.getSubject();
    }

    public static void main(String[] words) throws Exception {
        Subject.doAs(logIn(words[0], words[1]), (PrivilegedExceptionAction<Void>) () -> {
            String authzid = words[5].isEmpty() ? null : words[5];
            SaslClient client = Sasl.createSaslClient(new String[] {"GSSAPI"}, authzid, words[2], words[3],
                Map.of(Sasl.QOP, "auth", Sasl.SERVER_AUTH, words[4]), null);
            BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
            say(client.evaluateChallenge(new byte[0]));
            for (String line; !client.isComplete() && (line = input.readLine()) != null;)
                say(client.evaluateChallenge(Base64.getDecoder().decode(line)));
            return null;
        });
    }
}
